FROM mcr.microsoft.com/windows/servercore:ltsc2022@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY service.exe /app/
ENTRYPOINT ["/app/service.exe"]
# expect: root-user@1
