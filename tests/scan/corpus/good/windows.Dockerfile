# escape=`
FROM mcr.microsoft.com/windows/servercore:ltsc2022@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
# hadolint shell=powershell
SHELL ["powershell", "-Command", "$ErrorActionPreference = 'Stop';"]
RUN New-Item -ItemType Directory -Path C:\app; `
    Set-Content -Path C:\app\readme.txt -Value 'C:\app\'
COPY service.exe C:\app\
WORKDIR C:\app
USER ContainerUser
ENTRYPOINT ["C:\\app\\service.exe"]
