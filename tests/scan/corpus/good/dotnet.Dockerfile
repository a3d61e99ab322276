FROM mcr.microsoft.com/dotnet/sdk:8.0.403@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS publish
WORKDIR /source
COPY . .
RUN dotnet publish -c Release -o /app

FROM mcr.microsoft.com/dotnet/aspnet:8.0.10@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
WORKDIR /app
COPY --from=publish /app .
USER $APP_UID
EXPOSE 8080
HEALTHCHECK CMD ["dotnet", "Api.dll", "--ping"]
ENTRYPOINT ["dotnet", "Api.dll"]
