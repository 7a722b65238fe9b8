FROM python:3.12 as docs
COPY docs/requirements.txt /tmp/
RUN pip install -r /tmp/requirements.txt
COPY . /repo
RUN make -C /repo/docs html SPHINXOPTS="-W --keep-going -n"
RUN make -C /repo/docs linkcheck || \
    { cat /repo/docs/_build/linkcheck/output.txt; exit 1; }
FROM scratch as out
COPY --from=docs /repo/docs/_build/html /
