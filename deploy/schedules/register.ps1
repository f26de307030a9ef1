<#
.SYNOPSIS
  Registers the scoring of a portfolio with the Windows Task Scheduler.
.DESCRIPTION
  Run it in an elevated PowerShell 5.1 or 7, after install.ps1. It copies portfolio.py beside the
  program and registers propensia-portfolio.xml with the paths that are given here; a task of that
  name is replaced. The task runs as the account of the service, which may then read the folder of
  -Source and change -Folder; nobody else but administrators keeps an inherited right to -Folder.
  NOT RUN SO FAR: reviewed line by line only.
.EXAMPLE
  .\register.ps1 -Source D:\carteras\cartera.csv -Folder D:\carteras\puntuadas -Period month
#>
#Requires -RunAsAdministrator
param(
    [Parameter(Mandatory)] [string] $Source,
    [Parameter(Mandatory)] [string] $Folder,
    [ValidateSet('day', 'month')] [string] $Period = 'month',
    [ValidatePattern('^[A-Za-z0-9_-]+$')] [string] $Name = 'cartera',
    [datetime] $At = '01:15'
)
Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'

# A quote would end an argument early; Windows allows none in a path.
if (($Source + $Folder).Contains('"')) { throw 'no quotes, please' }
# Everybody may read the line of a task: no address of a database, which holds a password.
if ($Source -match '^(?!sqlite)[A-Za-z0-9+.-]+://') {
    throw 'use env:NAME, a variable that holds it'
}
# Rights are set on these two, and on all that is in them.
$folders = @($Folder)
if ($Source -notmatch '^env:|://') { $folders += Split-Path -Parent $Source }
foreach ($one in $folders) {
    if (-not $one -or -not (Split-Path -Parent $one)) {
        throw 'whole paths, and no folder that is a drive'
    }
}
$account = 'NT SERVICE\Propensia'
# By number, as the names of these groups are translated: SYSTEM, Administrators.
$system = '*S-1-5-18'
$administrators = '*S-1-5-32-544'

# Runs a program and stops here if it fails; PowerShell 5.1 would go on.
function Invoke-Checked([string] $File, [string[]] $Arguments) {
    & $File @Arguments
    if ($LASTEXITCODE -ne 0) { throw "$File ended with $LASTEXITCODE" }
}

$program = Join-Path $env:ProgramFiles 'Propensia'
$wrapper = Join-Path $program 'portfolio.py'
New-Item -ItemType Directory -Force $Folder | Out-Null
Invoke-Checked 'icacls.exe' @($Folder.TrimEnd('\'), '/inheritance:r', '/grant:r',
    "${system}:(OI)(CI)F", "${administrators}:(OI)(CI)F", "${account}:(OI)(CI)M")
# The folder of the source, as the file is another one each month.
foreach ($one in $folders | Select-Object -Skip 1) {
    Invoke-Checked 'icacls.exe' @($one, '/grant', "${account}:(OI)(CI)RX")
}
Copy-Item -Force (Join-Path $PSScriptRoot 'portfolio.py') $wrapper

$task = New-Object System.Xml.XmlDocument
$task.Load((Join-Path $PSScriptRoot 'propensia-portfolio.xml'))
$exec = $task.Task.Actions.Exec
$exec.Command = Join-Path $program 'venv\Scripts\python.exe'
# A backslash before the closing quote would be taken for one that escapes it.
$exec.Arguments = '-X utf8 "{0}" "{1}" "{2}" --name {3} --period {4}' -f $wrapper,
    $Source, $Folder.TrimEnd('\'), $Name, $Period
$exec.WorkingDirectory = Join-Path $env:ProgramData 'Propensia\settings'
$task.Task.Triggers.CalendarTrigger.StartBoundary = $At.ToString('yyyy-MM-ddTHH:mm:ss')
Register-ScheduledTask -TaskName "Propensia $Name" -Xml $task.OuterXml -Force | Out-Null

Write-Host "Registrada. Pruébela: / Registered. Try it: Start-ScheduledTask 'Propensia $Name'"
Write-Host "icacls `"$Folder`" /grant `"DOMINIO\Analistas:(OI)(CI)R`""
