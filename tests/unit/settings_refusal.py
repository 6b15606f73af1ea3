"""What a start with wrong settings says."""

from typing import Any

import pytest

from match_server.config import load_settings
from match_server.errors import SettingsError


def refusal(**options: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(**options)
    return str(caught.value)
