<#
.SYNOPSIS
  Sets what a web.config cannot: the proxy of IIS, and logs without any query.
.DESCRIPTION
  Run it once in an elevated PowerShell, after the site was made (https binding only, web.config in
  its folder). In propensia.toml: host = "127.0.0.1" and trusted_proxies = "127.0.0.1, ::1".
  NOT RUN SO FAR: reviewed line by line only.
.EXAMPLE
  .\setup.ps1 -Site Propensia
#>
#Requires -RunAsAdministrator
param([Parameter(Mandatory)] [string] $Site)
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
Import-Module WebAdministration

$server = 'MACHINE/WEBROOT/APPHOST'
if (-not (Get-Website -Name $Site)) { throw "there is no site $Site" }

# The proxy. Without the host, addresses on pages would name this machine's own; with the port
# behind it, an address of a client would be no address for Propensia.
$proxy = 'system.webServer/proxy'
foreach ($pair in @(
        @('enabled', $true), @('preserveHostHeader', $true),
        @('reverseRewriteHostInResponseHeaders', $false), @('includePortInXForwardedFor', $false),
        @('timeout', [TimeSpan]::FromSeconds(180)))) {
    Set-WebConfigurationProperty -PSPath $server -Filter $proxy -Name $pair[0] -Value $pair[1]
}

# The one header that a rule of the site may set.
$allowed = 'system.webServer/rewrite/allowedServerVariables'
$variable = 'HTTP_X_FORWARDED_PROTO'
$found = Get-WebConfigurationProperty -PSPath $server -Filter "$allowed/add" -Name name
if (@($found | ForEach-Object Value) -notcontains $variable) {
    Add-WebConfigurationProperty -PSPath $server -Filter $allowed -Name '.' -Value @{ name = $variable }
}

# The log of the site: no query, no address (it may hold a key, /c/KEY/prediccion), no referrer.
$log = "system.applicationHost/sites/site[@name='$Site']/logFile"
Set-WebConfigurationProperty -PSPath $server -Filter $log -Name logFormat -Value 'W3C'
Set-WebConfigurationProperty -PSPath $server -Filter $log -Name logExtFileFlags -Value `
    'Date,Time,ClientIP,Method,HttpStatus,HttpSubStatus,Win32Status,TimeTaken,ServerPort'
# A trace of a failed request holds all of it.
$trace = "system.applicationHost/sites/site[@name='$Site']/traceFailedRequestsLogging"
Set-WebConfigurationProperty -PSPath $server -Filter $trace -Name enabled -Value $false

# HTTP.sys, below IIS, writes the whole address of what it refuses itself into HTTPERR. It has one
# switch for the machine; it counts from the next start of the driver.
$parameters = 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters'
Set-ItemProperty -Path $parameters -Name EnableErrorLogging -Type DWord -Value 0

Write-Host 'Hecho. Reinicie la máquina (o «net stop http /y; net start w3svc»). / Done; restart.'
