"""`app`: a vector back for a vector, without computation."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """The vector that came, plus one."""
    (vector,) = message.content.array_records["arrays"].to_numpy_ndarrays()
    arrays = ArrayRecord({"v": Array(vector + np.float32(1))})
    metrics = MetricRecord({"num-examples": 1})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)
