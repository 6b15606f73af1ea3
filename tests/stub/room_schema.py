"""Generate `dedicated_server_stub/room_pb2.py` from `room.proto`: `python -m tests.stub.room_schema`."""

import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[2]
PACKAGE = "dedicated_server_stub"
GENERATED = ("room_pb2.py", "room_pb2.pyi")


def generate(folder: Path) -> None:
    """Write the generated files under `folder`."""
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={ROOT}",
            f"--proto_path={Path(protoc.__file__).parent / '_proto'}",
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            str(ROOT / PACKAGE / "room.proto"),
        ]
    )
    if status:
        sys.exit(status)


if __name__ == "__main__":
    generate(ROOT)
