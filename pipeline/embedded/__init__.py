"""The whole product on one machine, its servers from Python wheels: PostgreSQL, Redis, S3, API, workers, reaper."""

from pipeline.embedded.failures import DataDirInUse, PartFailed, StartCancelled
from pipeline.embedded.stack import USUAL_PORT, Stack, StackInfo, run

__all__ = ["USUAL_PORT", "DataDirInUse", "PartFailed", "Stack", "StackInfo", "StartCancelled", "run"]
