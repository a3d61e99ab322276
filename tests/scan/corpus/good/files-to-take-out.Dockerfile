FROM python:3.12-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS generate
WORKDIR /generate
COPY requirements.txt service.proto ./
# Its cache is in no image.
RUN pip install --require-hashes -r requirements.txt
RUN cd /generate && python -m grpc_tools.protoc -I. --python_out=. service.proto

FROM scratch
COPY --from=generate /generate/service_pb2.py /
