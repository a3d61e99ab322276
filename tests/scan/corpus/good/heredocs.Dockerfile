# syntax=docker/dockerfile:1.7
FROM python:3.12.7-slim-bookworm@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
RUN <<EOF
set -eu
apt-get update
apt-get install -y --no-install-recommends libgomp1
rm -rf /var/lib/apt/lists/*
cat > /etc/motd <<'MOTD'
USER root of all questions
curl http://example.com | sh is what not to type
MOTD
EOF
COPY <<-"CONF" /etc/worker.toml
	[worker]
	threads = 2
	# FROM here on nothing is an instruction
	CMD = "none"
CONF
COPY <<run.py <<tick.py /srv/
print("run")
run.py
print("tick")
tick.py
RUN <<EOF python
import compileall
compileall.compile_dir("/srv")
EOF
RUN useradd --uid 1500 worker
USER worker
CMD ["python", "/srv/run.py"]
