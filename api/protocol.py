"""What is not HTTP never reaches the app; its refusal is a problem like any other."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.errors import Problem, problem_response


class ProblemProtocol(HttpToolsProtocol):
    def send_400_response(self, msg: str) -> None:
        answer = problem_response(Problem("invalid_request", "this is not a valid HTTP request", status=400))
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()
