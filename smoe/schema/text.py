"""Text that came from users, files or services, made safe to show."""

import re
import unicodedata

# Characters that a terminal, a browser or an editor acts upon instead of showing them.
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
_TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def plain(text: str) -> str:
    r"""Return one line of text in which every character is one that is seen.

    Line breaks and tabs become spaces; other control characters, halves of surrogate pairs and
    characters that turn the direction of writing become their escapes, such as `\x1b`.
    """
    return "".join(_seen(character) for character in text)


def plain_lines(text: str) -> str:
    """Return the same for text of several lines, whose line breaks stay."""
    return "\n".join(plain(line) for line in text.split("\n"))


def plain_json(value: object) -> object:
    """Return a value of a JSON file with all its texts, keys included, as `plain` gives them."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list):
        return [plain_json(each) for each in value]
    if isinstance(value, dict):
        return {plain(str(key)): plain_json(each) for key, each in value.items()}
    return value


def markdown(text: str) -> str:
    """Return text that Markdown shows as it stands, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~$&!])", r"\\\1", plain(text))


def _seen(character: str) -> str:
    if character in "\n\r\t\v\f\x85\u2028\u2029":
        return " "
    if character in _TURNING or unicodedata.category(character) in _UNSEEN:
        return character.encode("unicode_escape").decode()
    return character
