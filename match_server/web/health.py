"""HTTP for orchestrators and Prometheus: is this node alive, can it work, what does it count."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.web.problems import problem


class HealthEndpoints:
    """What a node says of itself. None of it needs a key."""

    def __init__(
        self,
        *,
        not_ready: Callable[[], Awaitable[str | None]],
        render_metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        """`not_ready` gives the reason why this node is not ready, or None."""
        self._not_ready = not_ready
        self._render_metrics = render_metrics

    def routes(self) -> list[Route]:
        """The routes, for the application."""
        return [
            Route("/healthz", self.healthz, methods=["GET"]),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthz(self, _request: Request) -> Response:
        """`GET /healthz`: the process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """`GET /readyz`: 200 when this node can work, 503 with the reason otherwise."""
        reason = await self._not_ready()
        return problem(503, reason) if reason else JSONResponse({"status": "ready"})

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics`, for Prometheus."""
        return Response(await self._render_metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})
