"""Floor 0: what engine, server and client say to one another: answers, and how they look on the wire."""

from .answers import (
    Classification,
    Made,
    Output,
    Plain,
    SceneAnswer,
    Sighting,
    Status,
    Timings,
    Track,
    stamped,
)
from .fields import MAX_INTEGER
from .format import (
    MAX_TEXT,
    VERSION,
    Picture,
    decode_message,
    decode_picture,
    encode_message,
    encode_picture,
)
from .messages import (
    ENCODINGS,
    Ack,
    Answer,
    Bye,
    Correct,
    Corrected,
    Drop,
    Encoding,
    Failure,
    Hello,
    Limits,
    Message,
    Open,
    Welcome,
)

__all__ = [
    "ENCODINGS", "MAX_INTEGER", "MAX_TEXT", "VERSION", "Ack", "Answer", "Bye", "Classification", "Correct",
    "Corrected", "Drop", "Encoding", "Failure", "Hello", "Limits", "Made", "Message", "Open", "Output",
    "Picture", "Plain", "SceneAnswer", "Sighting", "Status", "Timings", "Track", "Welcome", "decode_message",
    "decode_picture", "encode_message", "encode_picture", "stamped",
]  # fmt: skip
