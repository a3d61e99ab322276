# escape=`
FROM example/windows:latest
EXPOSE 3389
HEALTHCHECK CMD ["C:\\ping.exe"]
RUN C:\setup.exe `
    /quiet
USER app
# expect: image-tag@2 sensitive-port@3
