#!/usr/bin/env bash
# Installs Propensia as a systemd service, or a newer version over an older one. Run it as root:
#
#   deploy/systemd/install.sh WHEELHOUSE    from a folder that deploy/wheelhouse.py made
#
# It makes the account and the folders where they are missing, never changes a propensia.toml that
# is there, and starts nothing the first time: there may have to be a key before the first start.
set -euo pipefail

[ "$(id -u)" = 0 ] || { echo "Ejecútelo como root. / Run it as root." >&2; exit 3; }
[ $# = 1 ] && [ -f "$1/SHA256SUMS" ] || { echo "Uso: $0 WHEELHOUSE" >&2; exit 2; }
wheels=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
python=${PYTHON:-python3}

# Nothing that was damaged or swapped on its way is installed.
(cd "$wheels" && sha256sum --check --strict --quiet SHA256SUMS)

id -u propensia >/dev/null 2>&1 ||
    useradd --system --user-group --home-dir /var/lib/propensia --no-create-home \
        --shell /usr/sbin/nologin propensia
getent group propensia-models >/dev/null || groupadd --system propensia-models
usermod --append --groups propensia-models propensia

install -d -m 0755 /opt/propensia /etc/propensia /srv/propensia
install -d -m 0700 -o propensia -g propensia /var/lib/propensia /var/backups/propensia
# Whoever is in the group may drop models; what is dropped belongs to the group.
install -d -m 2770 -o propensia -g propensia-models /srv/propensia/models
if [ ! -e /etc/propensia/propensia.toml ]; then
    install -m 0640 -g propensia /dev/stdin /etc/propensia/propensia.toml <<'TOML'
models = "/srv/propensia/models"
state = "/var/lib/propensia/state"
TOML
fi

# Beside the old environment, so that there is a way back: see docs/upgrade.md.
fresh=/opt/propensia/venv-$(date +%Y%m%dT%H%M%S)
"$python" -m venv "$fresh"
"$fresh/bin/pip" install --quiet --no-index --find-links "$wheels" \
    --require-hashes -r "$wheels/requirements.txt"
"$fresh/bin/pip" install --quiet --no-index --no-deps "$wheels"/propensia-*.whl
"$fresh/bin/propensia" --version
ln -sfn "$fresh" /opt/propensia/venv.new
mv -T /opt/propensia/venv.new /opt/propensia/venv

install -m 0755 /dev/stdin /usr/local/bin/propensia <<'WRAPPER'
#!/bin/sh
# As the service's account and with its settings, so that nothing ends up owned by root.
# Give files by their whole path.
cd /etc/propensia && exec runuser -u propensia -- /opt/propensia/venv/bin/propensia "$@"
WRAPPER

install -m 0644 "$here"/propensia.service "$here"/propensia-backup.service \
    "$here"/propensia-backup.timer /etc/systemd/system/
systemctl daemon-reload
systemctl enable --quiet propensia.service propensia-backup.timer
if systemctl --quiet is-active propensia.service; then
    systemctl restart propensia.service
    echo "Actualizado y en marcha. / Upgraded and running."
else
    cat <<'NEXT'
Instalado. Ahora: / Installed. Now:
  1. propensia keys create administracion --role admin
  2. usermod --append --groups propensia-models ANALISTA
  3. systemctl start propensia propensia-backup.timer && propensia doctor
NEXT
fi
