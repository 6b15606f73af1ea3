"""HTTP for orchestrators and Prometheus: is this node alive, can it work, what does it count."""

from collections.abc import Awaitable, Callable

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from match_server.errors import StoreUnavailable
from match_server.web.problems import problem


class HealthEndpoints:
    """What a node says of itself. None of it needs a key."""

    def __init__(
        self,
        *,
        not_ready: Callable[[], Awaitable[str | None]],
        warnings: Callable[[], Awaitable[list[str]]],
        render_metrics: Callable[[], Awaitable[bytes]],
    ) -> None:
        """`not_ready` gives the reason why this node is not ready, or None; `warnings` what is wrong all the same."""
        self._not_ready = not_ready
        self._warnings = warnings
        self._render_metrics = render_metrics

    def public_routes(self) -> list[Route]:
        """What players' proxies may ask."""
        return [Route("/healthz", self.healthz, methods=["GET"])]

    def admin_routes(self) -> list[Route]:
        """The rest; the admin listener answers `/healthz`, too."""
        return [
            *self.public_routes(),
            Route("/readyz", self.readyz, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def healthz(self, _request: Request) -> Response:
        """`GET /healthz`: the process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        """`GET /readyz`: 200 when this node can work, 503 with the reason otherwise."""
        try:
            if not (reason := await self._not_ready()):
                return JSONResponse({"status": "ready", "warnings": await self._warnings()})
        except StoreUnavailable as error:  # it went meanwhile
            reason = str(error)
        return problem(503, reason)

    async def metrics(self, _request: Request) -> Response:
        """`GET /metrics`, for Prometheus."""
        return Response(await self._render_metrics(), headers={"Content-Type": CONTENT_TYPE_LATEST})
