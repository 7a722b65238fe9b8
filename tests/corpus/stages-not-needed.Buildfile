ARG FLAVOUR=full
FROM alpine AS base
RUN apk add --no-cache bash
FROM base AS never
RUN exit 1
FROM missing-image:never-pulled AS unused
COPY --from=never / /
FROM base AS slim
RUN echo slim > /flavour
FROM base AS full
RUN echo full > /flavour
COPY --from=slim /flavour /other
FROM ${FLAVOUR} AS final
CMD ["cat", "/flavour"]
