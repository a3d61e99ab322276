# escape=`
FROM mcr.microsoft.com/windows/nanoserver:ltsc2022@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY service.exe C:\app\
WORKDIR C:\app
ENTRYPOINT ["C:\\app\\service.exe"]
