FROM python:3.12-alpine
RUN <<EOF
set -eu
apk add --no-cache build-base libffi-dev
pip install fastapi "uvicorn[standard]"
apk del build-base libffi-dev
EOF
WORKDIR /srv
COPY <<main.py /srv/
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> dict[str, str]:
    return {"price": "\$5"}
main.py
CMD ["uvicorn", "main:app", "--port", "80"]
