"""What all tests share: hypothesis tries the same examples everywhere, so that a red test is red for everybody.

HYPOTHESIS_PROFILE=search looks for new ones, and more of them.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, print_blob=True)
settings.register_profile("search", max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
