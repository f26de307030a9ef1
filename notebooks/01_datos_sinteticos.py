# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1. Datos sintéticos
#
# La tabla de cobros real no se publicó; sus cifras, sí. Aquí se genera una con esas cifras y
# **ninguna fila de una persona**. A cambio trae lo que la real no puede dar: la probabilidad
# verdadera de cada fila. La usan los tres cuadernos siguientes.

# %%
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from propensia import stats, synthetic
from propensia.contract import load
from propensia.spanish import number, percent
from propensia.training import exploring, reading, showing

# %% tags=["parameters"]
CARPETA = Path("datos")  # donde quedan las tablas
FILAS = 7339  # como la real
SEMILLA = 1
DERIVA = 1.0  # cuánto cambia la población en el mes siguiente, de 0 a 1

# %% [markdown]
# ## La tabla, como la recibe un analista
#
# Dos ficheros, los mismos que hace `propensia synth`: el de entrenar, y el de un mes posterior en
# el que se debe más, se van más clientes y, a igualdad de lo demás, se paga menos.

# %%
CARPETA.mkdir(parents=True, exist_ok=True)
antes, despues = CARPETA / "cobros.csv", CARPETA / "cobros_mes_siguiente.csv"
synthetic.write(antes, FILAS, SEMILLA, truth=True)
inicio = date(2023, 4, 2)
synthetic.write(despues, FILAS // 2, SEMILLA + 1, drift=DERIVA, start=inicio, days=30)
leida = pd.read_csv(antes, sep=";", dtype=str, keep_default_na=False)
leida.sample(4, random_state=SEMILLA).transpose()

# %% [markdown]
# ## ¿Se parece a la publicada?
#
# Tres grupos de cifras; las 227 se comprueban en las pruebas del programa (`docs/synthetic.md`).

# %%
PUBLICADAS = {
    "ESTADO_CLIENTE": {"A": 0.181, "B": 0.361},
    "CANTIDAD_FACTURAS": {1: 0.395, 2: 0.162, 3: 0.098},
    "NUM_LINEAS_ACTIVAS": {0: 0.365, 1: 0.182, 2: 0.180},
}
tabla = synthetic.generate(FILAS, SEMILLA)
tasas = {}
for columna, grupos in PUBLICADAS.items():
    suyas = [tabla.columns[columna] == grupo for grupo in grupos]
    pagan = [tabla.paid[filas].sum() for filas in suyas]
    tasas[columna] = exploring.rates([str(g) for g in grupos], pagan, [f.sum() for f in suyas])
showing.forest(
    "La tabla generada paga como la publicada, grupo a grupo",
    tasas,
    "Parte que paga, con su intervalo del 95 %",
    base=(f"todas las filas: {percent(tabla.paid.mean(), 1)}", float(tabla.paid.mean())),
    rings=("cifra publicada", {n: list(grupos.values()) for n, grupos in PUBLICADAS.items()}),
)

# %% [markdown]
# ## La probabilidad verdadera
#
# Cada fila se sorteó con su probabilidad. Por eso se sabe hasta dónde puede llegar un modelo.

# %%
bordes = np.linspace(0, 1, 26)
cuentas = [np.histogram(tabla.truth[tabla.paid == pago], bordes)[0] for pago in (0, 1)]
techo = stats.auc(tabla.paid, tabla.truth)
showing.steps(
    f"Ni conociendo la verdad se pasa de AUC {number(techo, 3)}: pagar tiene mucho de azar",
    {n: c / c.sum() for n, c in zip(("no pagó", "pagó"), cuentas, strict=True)},
    bordes,
    "Probabilidad verdadera de pagar",
)

# %% [markdown]
# ## La deriva
#
# No solo cambian los grupos de tamaño: dentro de cada uno se paga otra parte.

# %%
contrato = load("cobranza")
primero, segundo = (
    reading.read(str(fichero), contrato, today=date.today())[0] for fichero in (antes, despues)
)
datos = {n: contrato.parameter(n).label["es"] for n in ("er", "ec", "fb")}
antiguas = {de: exploring.by_group(contrato, primero, n).shares for n, de in datos.items()}
showing.forest(
    f"Al mes siguiente paga el {percent(segundo.labels.mean())}; antes, el "
    f"{percent(primero.labels.mean())}",
    {de: exploring.by_group(contrato, segundo, n) for n, de in datos.items()},
    "Parte que paga, con su intervalo del 95 %",
    rings=("antes", antiguas),
)

# %% [markdown]
# ## Qué concluir
#
# - La tabla reproduce lo publicado dentro de su error de muestreo; sirve para practicar y medir.
# - El techo del AUC se conoce. Un modelo que lo pase con claridad en filas nuevas tiene una fuga.
# - Lo que no se publicó está supuesto (`docs/synthetic.md` dice qué): no saque de aquí
#   conclusiones sobre clientes reales.
