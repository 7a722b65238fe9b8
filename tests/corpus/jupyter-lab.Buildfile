ARG BASE=jupyter/base-notebook
ARG TAG=2024-03
FROM $BASE:$TAG
USER root
RUN apt-get update --yes && \
    apt-get install --yes --no-install-recommends \
    # for building extensions
    build-essential \

    # for exporting to PDF
    texlive-xetex && \
    apt-get clean
USER ${NB_UID}
RUN mamba install --quiet --yes 'matplotlib-base' 'scikit-learn' && mamba clean --all -f -y
COPY --chown=${NB_UID}:${NB_GID} notebooks/ "/home/${NB_USER}/work/"
WORKDIR "/home/${NB_USER}"
