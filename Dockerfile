# The three commands in one image; nothing but MATCH_SERVER_KEY has to be set:
#   docker run -p 8080:8080 -e MATCH_SERVER_KEY=… match-server

FROM python:3.13-slim AS wheels
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY match_server match_server
COPY test_client test_client
COPY dedicated_server_stub dedicated_server_stub
COPY lua lua
RUN pip wheel --no-cache-dir --wheel-dir /wheels .

FROM python:3.13-slim
RUN --mount=from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels match-server \
    && useradd --system --no-create-home match-server
USER match-server
# Beyond loopback, so a node refuses to start until MATCH_SERVER_KEY is set.
ENV MATCH_HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 8080
CMD ["match-server", "--log-format", "json"]
