<#
.SYNOPSIS
  Installs Propensia as a Windows service, or a newer version over an older one.
.DESCRIPTION
  Run it in an elevated PowerShell 5.1 or 7. It takes a folder that deploy/wheelhouse.py made, a
  Python that was installed for all users, and WinSW-x64.exe of a release that you have checked.
  It never changes a propensia.toml that is there. NOT RUN SO FAR: reviewed line by line only.
.EXAMPLE
  .\install.ps1 -Wheelhouse D:\wheels -WinSW D:\WinSW-x64.exe -WinSWSha256 <of the release page>
.EXAMPLE
  .\install.ps1 ... -OpenTo 10.1.0.0/16     # only where Propensia itself is called from outside
#>
#Requires -RunAsAdministrator
param(
    [Parameter(Mandatory)] [string] $Wheelhouse,
    [Parameter(Mandatory)] [string] $WinSW,
    [Parameter(Mandatory)] [string] $WinSWSha256,
    [string] $Python = 'py -3.12',
    [string[]] $OpenTo = @(),
    [int] $Port = 5000
)
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

$name = 'Propensia'
$account = "NT SERVICE\$name"
$program = Join-Path $env:ProgramFiles 'Propensia'
$data = Join-Path $env:ProgramData 'Propensia'
$venv = Join-Path $program 'venv'
# By number, as the names of these groups are translated: SYSTEM, Administrators.
$system = '*S-1-5-18'
$administrators = '*S-1-5-32-544'

# Runs a program and stops here if it fails; PowerShell 5.1 would go on.
function Invoke-Checked([string] $File, [string[]] $Arguments) {
    & $File @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$File ended with $LASTEXITCODE" }
}

# 1. Nothing that was damaged or swapped on its way is installed.
if ((Get-FileHash -Algorithm SHA256 $WinSW).Hash -ne $WinSWSha256) {
    throw "$WinSW is not the file of that release"
}
foreach ($line in Get-Content (Join-Path $Wheelhouse 'SHA256SUMS')) {
    $digest, $file = $line -split '  ', 2
    $found = (Get-FileHash -Algorithm SHA256 -LiteralPath (Join-Path $Wheelhouse $file)).Hash
    if ($found -ne $digest) { throw "$file is not the file that was built" }
}

# 2. Stop what runs; keep its environment beside the new one, as a way back.
$service = Get-Service -Name $name -ErrorAction SilentlyContinue
if ($service) { Stop-Service -Name $name }
New-Item -ItemType Directory -Force $program, $data | Out-Null
if (Test-Path $venv) {
    Rename-Item $venv ('venv-before-' + (Get-Date -Format 'yyyyMMddTHHmmss'))
}

# 3. The program. An environment knows its own path, so it is made where it stays.
$words = -split $Python
Invoke-Checked $words[0] (@($words | Select-Object -Skip 1) + @('-m', 'venv', $venv))
$own = Join-Path $venv 'Scripts\python.exe'
Invoke-Checked $own @('-m', 'pip', 'install', '--quiet', '--no-index', '--find-links', $Wheelhouse,
    '--require-hashes', '-r', (Join-Path $Wheelhouse 'requirements.txt'))
$wheel = (Get-Item (Join-Path $Wheelhouse 'propensia-*.whl')).FullName
Invoke-Checked $own @('-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', $wheel)
Invoke-Checked $own @('-m', 'propensia', '--version')

# 4. The service. The account NT SERVICE\Propensia exists from then on; it needs no password, and
#    reaches a share as this computer does.
$wrapper = Join-Path $program 'propensia.exe'
Copy-Item -Force $WinSW $wrapper
Copy-Item -Force (Join-Path $PSScriptRoot 'propensia.xml') (Join-Path $program 'propensia.xml')
if (-not $service) { Invoke-Checked $wrapper @('install') }
Invoke-Checked 'sc.exe' @('config', $name, 'obj=', $account)
$runsAs = (Get-CimInstance Win32_Service -Filter "Name='$name'").StartName
if ($runsAs -ne $account) { throw "the service would run as $runsAs" }

# 5. Folders. State, settings and logs belong to the service; models is for people too.
foreach ($folder in 'settings', 'state-root', 'logs', 'models', 'backups') {
    New-Item -ItemType Directory -Force (Join-Path $data $folder) | Out-Null
}
Invoke-Checked 'icacls.exe' @($data, '/inheritance:r', '/grant:r',
    "${system}:(OI)(CI)F", "${administrators}:(OI)(CI)F", "${account}:(RX)")
foreach ($folder in 'state-root', 'logs', 'models', 'backups') {
    Invoke-Checked 'icacls.exe' @((Join-Path $data $folder), '/grant', "${account}:(OI)(CI)M")
}
Invoke-Checked 'icacls.exe' @((Join-Path $data 'settings'), '/grant', "${account}:(OI)(CI)RX")
$toml = Join-Path $data 'settings\propensia.toml'
if (-not (Test-Path $toml)) {
    # Forward slashes: a backslash means something else in TOML. No BOM is needed, none does harm.
    $root = $data -replace '\\', '/'
    Set-Content -Encoding UTF8 $toml @(
        "models = `"$root/models`"", "state = `"$root/state-root/state`"", "port = $Port")
}

# 6. The firewall: closed, but for the networks that were named.
Get-NetFirewallRule -Name $name -ErrorAction SilentlyContinue | Remove-NetFirewallRule
if ($OpenTo.Count -gt 0) {
    New-NetFirewallRule -Name $name -DisplayName $name -Direction Inbound -Action Allow `
        -Protocol TCP -LocalPort $Port -RemoteAddress $OpenTo -Profile Domain, Private | Out-Null
}

Write-Host @"
Instalado. Ahora: / Installed. Now:
  1. cd "$data\settings"; & "$own" -m propensia keys create administracion --role admin
  2. icacls "$data\models" /grant "DOMINIO\Analistas:(OI)(CI)M"
  3. Start-Service $name; & "$own" -m propensia doctor
"@
