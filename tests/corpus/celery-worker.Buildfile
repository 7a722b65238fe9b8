FROM python:3.9-slim-bullseye as runtime
from runtime as worker
run pip install celery[redis]==5.3.6
copy tasks.py celeryconfig.py /worker/
workdir /worker
env C_FORCE_ROOT=true
stopsignal SIGTERM
healthcheck --interval=1m --timeout=10s cmd celery -A tasks inspect ping -d celery@$HOSTNAME
cmd celery -A tasks worker --loglevel=info
