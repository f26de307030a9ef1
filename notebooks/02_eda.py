# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2. Qué hay en la tabla
#
# Antes de entrenar: cómo está escrito el fichero, qué falta, quién da positivo y qué se mueve con
# qué. Vale para cualquier tabla que tenga un contrato: solo cambia la celda de parámetros.

# %%
from datetime import date
from pathlib import Path

import pandas as pd
from IPython.display import Markdown

from propensia.contract import load
from propensia.spanish import number, percent
from propensia.tables import open_table
from propensia.training import exploring, reading, showing

# %% tags=["parameters"]
CONTRATO = "cobranza"  # un contrato incluido, o la ruta de un TOML
DATOS = Path("datos") / "cobros.csv"  # lo deja aquí el cuaderno 1

# %%
contrato = load(CONTRATO)
positivo, dato = contrato.positive_name["es"], {p.name: p.label["es"] for p in contrato.parameters}
filas, origen, avisos = reading.read(str(DATOS), contrato, today=date.today())
tasa = filas.labels.mean()
todas = (f"todas las filas: {percent(tasa, 1)}", tasa)
Markdown(
    f"**{number(origen.rows, 0)} filas**, {number(origen.used, 0)} útiles; "
    f"«{positivo}»: **{percent(tasa, 1)}**.\n\n" + "\n".join(f"- {uno.text}." for uno in avisos)
)

# %% [markdown]
# ## Las trampas del fichero
#
# Como texto, sin interpretar. Blancos que sobran: una `N/A ` recortada se vuelve «sin dato».

# %%
tabla = open_table(str(DATOS))
columnas = [p.feature for p in contrato.parameters if p.feature in tabla.heading]
texto = pd.concat(map(pd.DataFrame, tabla.blocks([*columnas, contrato.label_column])))
sobra = {n: texto[n][texto[n] != texto[n].str.strip()].value_counts() for n in texto}
pd.DataFrame([(n, f"«{t}»", k) for n in sobra for t, k in sobra[n].items()]).rename(
    columns=dict(enumerate(("columna", "texto con blancos", "filas")))
)

# %% [markdown]
# Filas en orden: partirlas por su posición no es partirlas al azar.

# %%
orden = pd.DataFrame({n: exploring.alike(list(texto[n])) for n in texto}, index=["hay", "azar"]).T
orden = orden.loc[(orden["hay"] - orden["azar"]).nlargest(6).index]
primera, hay, azar = orden.index[0], orden["hay"].iloc[0], orden["azar"].iloc[0]
showing.bars(
    f"El fichero está ordenado: {primera} repite la fila anterior el {percent(hay)} de las "
    f"veces; al azar sería el {percent(azar)}"
    if hay - azar > 0.05
    else "El fichero no está ordenado: ningún dato repite la fila anterior más que al azar",
    list(orden.index),
    list(orden["hay"]),
    "Filas iguales a la anterior",
    ticks=("al azar", list(orden["azar"])),
    shares=True,
)

# %% [markdown]
# ## Qué falta

# %%
faltan = pd.Series(exploring.missing(contrato, texto)).rename(dato).nlargest(6)
faltan = faltan[faltan > 0]
showing.bars(
    f"Lo que más falta es «{faltan.idxmax()}», en el {percent(faltan.max(), 1)} de las filas"
    if len(faltan)
    else "No falta ningún dato",
    list(faltan.index),
    list(faltan),
    "Filas sin dato",
    shares=True,
)

# %% [markdown]
# ## Quién da positivo
#
# Los seis datos que más separan. De un grupo pequeño no se lee el punto: se lee el intervalo.

# %%
grupos = {n: exploring.by_group(contrato, filas, n) for n in dato}
mejores = sorted(grupos, key=lambda n: grupos[n].high.min() - grupos[n].low.max())[:6]
primero = grupos[mejores[0]].shares
showing.forest(
    f"«{positivo}»: del {percent(primero.min())} al {percent(primero.max())} según "
    f"«{dato[mejores[0]]}»",
    {dato[n]: grupos[n] for n in mejores},
    f"Parte de «{positivo}», con su intervalo del 95 %",
    base=todas,
)

# %%
importe = contrato.training.amount
tramos = exploring.along(filas.values[importe], filas.labels)
mas, menos = tramos.shares.argmax(), tramos.shares.argmin()
showing.along(
    f"«{positivo}» según «{dato[importe]}»: del {percent(tramos.shares[mas])} "
    f"({tramos.names[mas]}) al {percent(tramos.shares[menos])} ({tramos.names[menos]})",
    tramos,
    dato[importe] + ", en partes iguales de las filas",
    f"Parte de «{positivo}»",
    todas,
)

# %% [markdown]
# ## Qué se mueve con qué

# %%
juntos = exploring.correlations(contrato, filas, 11)
showing.heat(
    f"Lo que más se mueve con «{positivo}» es «{juntos.columns[1]}»: "
    f"correlación {number(juntos.iloc[1, 0], 2)}",
    list(juntos.columns),
    juntos.to_numpy(),
)

# %% [markdown]
# ## Qué concluir
#
# - Un fichero ordenado **no se parte por posición**: `propensia train` parte por fecha y cliente.
# - Ningún dato debe decidir solo: una correlación de más de 0,9 con el resultado es una fuga.
# - Datos que se mueven juntos cuentan lo mismo: su importancia se reparte entre ellos.
