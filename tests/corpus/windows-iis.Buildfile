# escape=`
FROM windows/servercore/iis:ltsc2022
SHELL ["powershell", "-Command", "$ErrorActionPreference = 'Stop'; $ProgressPreference = 'SilentlyContinue';"]
RUN Remove-Item -Recurse C:\inetpub\wwwroot\* ; `
    New-Item -ItemType Directory C:\site ; `
    Import-Module IISAdministration ; `
    New-IISSite -Name 'Site' -PhysicalPath C:\site -BindingInformation '*:8000:'
WORKDIR C:\site
COPY site\ C:\site\
ENV SITE_ROOT=C:\site `
    LOG_DIR="C:\Program Files\logs"
EXPOSE 8000
ENTRYPOINT ["C:\\ServiceMonitor.exe", "w3svc"]
