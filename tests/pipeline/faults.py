"""Parts of a context that are away."""

from dataclasses import replace

from pipeline.context import Context
from pipeline.embedded.ports import free_port
from storage.objects import ObjectStore


def unreachable(context: Context) -> Context:
    """The same context with an object store where nobody listens."""
    nowhere = context.settings.storage.model_copy(update={"s3_endpoint_url": f"http://127.0.0.1:{free_port()}"})
    return replace(context, store=ObjectStore(nowhere))
