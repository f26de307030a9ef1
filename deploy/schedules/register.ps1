<#
.SYNOPSIS
  Registers the scoring of a portfolio with the Windows Task Scheduler.
.DESCRIPTION
  Run it in an elevated PowerShell 5.1 or 7, after install.ps1. It copies portfolio.py beside the
  program and registers propensia-portfolio.xml with the paths that are given here; a task of that
  name is replaced. NOT RUN SO FAR: reviewed line by line only.
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
$program = Join-Path $env:ProgramFiles 'Propensia'
$wrapper = Join-Path $program 'portfolio.py'
New-Item -ItemType Directory -Force $Folder | Out-Null
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
