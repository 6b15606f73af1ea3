# The three commands in one image. Two keys have to be set, and the networks from which dedicated servers register:
#   docker run -p 8080:8080 -e MATCH_SERVER_KEY=… -e MATCH_ADMIN_KEY=… -e MATCH_SERVER_NETWORKS=172.17.0.0/16 match-server

FROM python:3.13-slim AS wheels
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY match_server match_server
COPY test_client test_client
COPY dedicated_server_stub dedicated_server_stub
COPY lua lua
RUN pip wheel --no-cache-dir --wheel-dir /wheels --constraint constraints.txt ".[platform]"

FROM python:3.13-slim
RUN --mount=from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels "match-server[platform]" \
    && useradd --system --no-create-home match-server
USER match-server
# Beyond loopback, so a node refuses to start until MATCH_SERVER_KEY and MATCH_ADMIN_KEY are set.
ENV MATCH_HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 8080
CMD ["match-server", "--log-format", "json"]
