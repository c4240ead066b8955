"""The one file of a multipart form, taken out as the form streams by; other fields are dropped unread."""

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from ingest.errors import Refused, incomplete_form

FIELD = "file"
# Boundaries and part headers around a file; a form that brings much more is not one file.
OVERHEAD_BYTES = 64 * 1024


class FileField:
    """A push parser: `feed` takes bytes of the form and gives back the bytes of the file among them."""

    def __init__(self, boundary: bytes) -> None:
        self._parser = _parser(boundary, self)
        self._header = b""
        self._value = b""
        self._inside = False
        self._files = 0
        self._ended = False
        self._found = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Raises Refused when the form is malformed or holds more than one file."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise Refused("invalid_request", f"the form is malformed: {error}") from error
        found, self._found = bytes(self._found), bytearray()
        return found

    def finish(self) -> None:
        """Raises Refused when the form broke off or had no file."""
        if not self._ended:
            raise incomplete_form()
        if not self._files:
            raise Refused("invalid_request", f"the form has no file in a field named {FIELD!r}")

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._inside = options.get(b"name") == FIELD.encode()
        self._header = self._value = b""

    def on_headers_finished(self) -> None:
        self._files += self._inside
        if self._files > 1:
            raise Refused("invalid_request", f"the form has several fields named {FIELD!r}: send one recording")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._found += data[start:end]

    def on_part_end(self) -> None:
        self._inside = False

    def on_end(self) -> None:
        self._ended = True


def boundary_of(content_type: str) -> bytes | None:
    """The boundary of a form, None for any other type; Refused when a form names none."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return None
    if not options.get(b"boundary"):
        raise Refused("invalid_request", "the form's Content-Type names no boundary")
    return options[b"boundary"]


def _parser(boundary: bytes, field: FileField) -> MultipartParser:
    try:
        return MultipartParser(
            boundary,
            {
                "on_header_field": field.on_header_field,
                "on_header_value": field.on_header_value,
                "on_header_end": field.on_header_end,
                "on_headers_finished": field.on_headers_finished,
                "on_part_data": field.on_part_data,
                "on_part_end": field.on_part_end,
                "on_end": field.on_end,
            },
        )
    except FormParserError as error:
        raise Refused("invalid_request", f"the form is malformed: {error}") from error
