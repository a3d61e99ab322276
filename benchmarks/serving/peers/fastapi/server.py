"""What one writes by hand: a `def` endpoint, which FastAPI runs on a thread, JSON in and out, no models of pydantic."""

from typing import Any

import predictors
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

app = FastAPI()
predict = predictors.load()


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/predict")
def answer(body: Any = Body()) -> JSONResponse:  # noqa: B008 (FastAPI's way)
    return JSONResponse({"predictions": predict(body["data"]).tolist()})
