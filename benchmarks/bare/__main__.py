"""`python -m benchmarks.bare`: a Starlette endpoint that echoes, with the same uvicorn settings as match-server."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.reference import serve


async def echo(websocket: WebSocket) -> None:
    """Send back each text."""
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return


if __name__ == "__main__":
    serve("bare", Starlette(routes=[WebSocketRoute("/ws/", echo)]), lifespan="off")
