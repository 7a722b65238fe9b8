FROM alpine AS parent
ENV WHO=parent
ONBUILD RUN echo triggered by $WHO
ONBUILD WORKDIR /made/by/trigger
ONBUILD USER 33:33
ONBUILD HEALTHCHECK --retries=2 CMD ["true"]

FROM parent AS child
RUN echo in the child
ENV WHO=child

FROM child
RUN echo triggers are not inherited
