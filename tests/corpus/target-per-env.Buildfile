FROM python:3.12 AS base
WORKDIR /app
COPY requirements requirements
FROM base AS development
RUN pip install -r requirements/dev.txt
VOLUME /app
CMD ["flask", "run", "--debug"]
FROM base AS testing
RUN pip install -r requirements/test.txt
COPY . .
RUN pytest
FROM base AS production
RUN pip install -r requirements/prod.txt
COPY . .
CMD ["gunicorn", "app:app"]
