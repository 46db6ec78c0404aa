#!/usr/bin/env python3
"""Asks oslo.config and SQLAlchemy what awkward texts mean, for the unit tests of src/oslo and src/config.

Writes configuration.json beside this file. Needs oslo.config and SQLAlchemy; the same seed gives the same texts.
"""

import json
import pathlib
import random
import tempfile

from oslo_config import cfg, types
from sqlalchemy.engine import make_url

FILES = [
    "[DEFAULT]\na = 1\n",
    "[DEFAULT]\na: 1 = 2\nb = c: d\n",
    "[DEFAULT]\na = \"x \"\nb = 'y'\nc = \"x'\nd = \"\ne = \"\"\nf = 'a' 'b'\n",
    "[DEFAULT]\na = 1\n  2\n\t3\n # 4\n[B b]\n a = 2\n",
    "[DEFAULT]\na = 1\n\n  2\n",
    "[DEFAULT]\na = 1\n# x\n  2\n",
    "[DEFAULT]\n  # indented comment\na = 1\n",
    "[DEFAULT]\na = 1 # not a comment\n; comment\n#b = 2\n",
    "[Mixed]\na = 1\n[mixed]\na = 2\nA = 3\n[MIXED]\na = 4\n",
    "[default]\na = 1\n[DEFAULT]\na = 2\n[Default]\na = 3\n",
    "a = 1\n[DEFAULT]\n",
    "[DEFAULT\na = 1\n",
    "[DEFAULT] \na = 1\n",
    "[DEFAULT]x\n",
    "[]\n",
    "[ spaced ]\na = 1\n",
    "[a]b]\nc = 1\n",
    "[DEFAULT]\nnothing\n",
    "[DEFAULT]\n= 1\n",
    "[DEFAULT]\n: 1\n",
    "[DEFAULT]\na=\nb=  \nc:\n",
    "[DEFAULT]\r\na = 1\r\n  2\r\nb = 3\r\n",
    "[DEFAULT]\ra = 1\rb = 2",
    "[DEFAULT]\na = \u00a0x\u00a0\n\u00a0b = 1\n",
    "[DEFAULT]\na = 'x\n  y'\n",
    "[DEFAULT]\na = %(b)s $c ${d}\n",
    "",
    "\n\n",
    "# only a comment",
]
FILE_INDENTS = ["", "", "", "", " ", "\t", "\x1f"]
FILE_PIECES = ["a", "b", "B", "=", ":", " = ", " ", "'", '"', "#", ";", "[s]", "é", "\\", "\x1c", "]"]
FILE_STARTS = ["", "a = ", "b: ", "a=\"", "", "#", "[S]"]
TEMPLATE_PIECES = ["$", "$", "{", "}", "a", "b", "g", ".", "x", "_", "\\", "1", "-", "$$", "${a}", "${g.x}", "$a", " ", "A"]
URL_PIECES = ["@", ":", "/", "?", "h", "p%40", "+", "33", "[::1]", "=", "&", "%2F"]


def parsed(text):
    """The sections of a file as oslo.config compares them, or the line that it refuses."""
    with tempfile.NamedTemporaryFile("w", newline="", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        normalized = {}
        parser = cfg.ConfigParser(file.name, {})
        parser._add_normalized(normalized)
        try:
            parser.parse()
        except cfg.ParseError as error:
            # A key above the first section is refused one line late.
            return {"error": None if "Section must be started" in error.msg else error.lineno}
        return {"sections": {name: keys for name, keys in normalized.items() if keys}}


def substituted(conf, text):
    try:
        return conf._substitute(text)
    except (cfg.Error, AttributeError, ValueError):
        return None


def url(text):
    try:
        parts = make_url(text)
    except Exception:
        return None
    return [parts.username, parts.password, parts.host, parts.port, parts.database]


def converted(kind, text):
    try:
        return kind(text)
    except ValueError:
        return None


def main():
    chance = random.Random(19)

    def texts(pieces, longest, count):
        return ["".join(chance.choices(pieces, k=chance.randint(1, longest))) for _ in range(count)]

    conf = cfg.ConfigOpts()
    conf.register_opts([cfg.StrOpt("a", default="A1"), cfg.StrOpt("b")])
    conf.register_opts([cfg.StrOpt("x", default="X1")], group="g")
    conf([], default_config_files=[], default_config_dirs=[])

    def line():
        return chance.choice(FILE_INDENTS) + chance.choice(FILE_STARTS) + "".join(chance.choices(FILE_PIECES, k=chance.randint(0, 4)))

    def address():
        user = chance.choice(["", "u@", "u:@", "u:p%40@", ":p@", "u:"]) + chance.choice(texts(URL_PIECES, 2, 1) + [""] * 3)
        host = chance.choice(["", "h", "[::1]", "h.x"]) + chance.choice(["", ":33", ":"])
        return f"{user}{host}/db" + chance.choice(["", "?x=y@z", "".join(chance.choices(URL_PIECES, k=2))])

    files = FILES + ["[DEFAULT]\n" + "\n".join(line() for _ in range(chance.randint(1, 4))) for _ in range(500)]
    templates = texts(TEMPLATE_PIECES, 8, 600)
    urls = ["mysql://" + address() for _ in range(500)]
    lists = ["a,b", " a , b ,", "", ",", "a,,b", "a b", ",,a,,", "'a,b'"]
    booleans = ["true", "TRUE", "Yes", "on", "1", "0", "off", "no", "False", "", " true", "2", "y", "t"]
    answer = {
        "files": [[text, parsed(text)] for text in files],
        "templates": [[text, substituted(conf, text)] for text in templates],
        "urls": [[text, url(text)] for text in urls],
        "lists": [[text, converted(types.List(), text)] for text in lists],
        "booleans": [[text, converted(types.Boolean(), text)] for text in booleans],
    }
    rows = ",\n".join(
        f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(case, ensure_ascii=True) for case in cases) + "\n]"
        for name, cases in answer.items()
    )
    pathlib.Path(__file__).with_suffix(".json").write_text("{\n" + rows + "\n}\n")


if __name__ == "__main__":
    main()
