# One image for the API, the workers and the reaper: `docker run IMAGE api|worker|reaper|migrate …`.
FROM python:3.12-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/earshot
ENV PATH=/opt/earshot/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# The lock pins; only what production needs is installed from it, without the servers of the embedded stack.
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY api api
COPY ingest ingest
COPY pipeline pipeline
COPY storage storage
COPY transcode transcode
COPY transcribe transcribe
RUN pip install -c requirements.lock .

FROM python:3.12-slim-bookworm
RUN groupadd --gid 10001 earshot \
    && useradd --uid 10001 --gid earshot --create-home --home-dir /home/earshot earshot
COPY --from=build /opt/earshot /opt/earshot
ENV PATH=/opt/earshot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    # Models fetched with `earshot models fetch` lie here; mount a volume to keep them.
    HF_HOME=/models
RUN mkdir /models && chown earshot:earshot /models
USER earshot
WORKDIR /home/earshot
VOLUME /models
EXPOSE 8300
# For the API. Workers and the reaper have no port: compose and Kubernetes watch their processes.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT', 8300)}/healthz\", timeout=2)"]
ENTRYPOINT ["earshot"]
CMD ["api", "--host", "0.0.0.0"]
