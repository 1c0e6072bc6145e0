# docker build -t tinylib .     docker run -p 8888:8888 -v "$PWD/reports:/tinylib/reports" tinylib
# With an NVIDIA GPU: docker build --build-arg BUILD=locked -t tinylib . and docker run --gpus all ...
FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends make git && rm -rf /var/lib/apt/lists/*
WORKDIR /tinylib
# What is installed changes less often than the code: these layers stay.
COPY Makefile pyproject.toml constraints.txt requirements.lock requirements-dev.lock requirements-torch.lock README.md LICENSE ./
COPY tinylib/__init__.py tinylib/__init__.py
ARG BUILD=cpu
RUN make BUILD=$BUILD .venv/.installed
COPY . .
ENV PATH=/tinylib/.venv/bin:$PATH
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--allow-root", "--no-browser", "notebooks"]
