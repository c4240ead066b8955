class TranscribeError(Exception):
    """What is wrong with one clip. Returned as data by the engine, never raised for a neighbour's fault.

    Codes: `bad_audio` (not finite mono float32, or not readable), `too_long` (over 61 s), `unknown_language`
    (not one the model knows), `engine_failed` (the row failed even alone; its cause is in the message).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ModelError(Exception):
    """Why a model cannot be used, and what to do about it.

    Codes: `unknown_model`, `model_missing`, `model_incomplete`, `not_whisper`, `hub_unreachable`, `demo_model`,
    `device_unavailable`, `compute_type_unavailable`, `unknown_language`, `prompt_too_long`, `no_recordings`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
