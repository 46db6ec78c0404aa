"""What JSON Schema cannot say of requests, and what the tool does not know of it.

Numbers have 64 bits, and an integer is not written as 5.0. A letter is one in any script."""

import math
import re
import sys
from urllib.parse import unquote

import schemathesis

LIMIT = 2**63 - 1
WORD = re.compile(r"[\w-]+")
# Those that the tool takes for all of \p{L} and \p{N}: with others it calls words wrong that are right.
LATIN = re.compile(r"[a-zA-Z0-9_\-\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f]+")


def readable(value):
    """The value with numbers as the service reads them; one that is too large for its member stays too large."""
    if isinstance(value, dict):
        return {key: readable(member) for key, member in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        # Would be sent as null.
        value = sys.float_info.max
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-LIMIT, min(LIMIT, value))
    return value


@schemathesis.hook
def filter_path_parameters(context, path_parameters):
    texts = [unquote(str(value)) for value in (path_parameters or {}).values()]
    return not any(WORD.fullmatch(text) and not LATIN.fullmatch(text) for text in texts)


@schemathesis.hook
def before_call(context, case, **kwargs):
    # No body and null, when set again, would count as wrong.
    if isinstance(case.body, (dict, list, int, float)):
        case.body = readable(case.body)
