# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 3. Entrenar
#
# La misma función que `propensia train`, y sus cifras miradas de cerca. Todas son de filas que el
# modelo no había visto.

# %%
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import display

from propensia import stats
from propensia.contract import load
from propensia.spanish import number, percent
from propensia.tables import open_table
from propensia.training import showing, thresholds

with warnings.catch_warnings():  # optuna echa de menos un adorno de Jupyter que aquí no se usa
    warnings.simplefilter("ignore")
    from propensia import delivery, train
    from propensia.training import running

# %% tags=["parameters"]
CONTRATO = "cobranza"  # un contrato incluido, o la ruta de un TOML
DATOS = Path("datos") / "cobros.csv"  # lo deja aquí el cuaderno 1
MINUTOS = 1.0  # cuánto buscar
COSTE = 6.0  # de una llamada, en la moneda de la tabla
PARTE = 0.15  # de lo que paga un pagador, lo que queda para quien llama
VERDAD = "PROBABILIDAD_REAL"  # columna con la probabilidad verdadera, si la hay
SALIDA = Path("datos") / "candidato.pkl"

# %%
contrato = load(CONTRATO)
encargo = running.Job(
    source=str(DATOS),
    contract=contrato,
    name=SALIDA.stem,
    state=SALIDA.parent / "estado",
    today=date.today(),
    minutes=MINUTOS,
    rule=f"cost={COSTE:.2f}",
    recovery=PARTE,
)
entrenado = running.train(encargo, running.Listener(print, lambda avance: None))
print(train.summary(entrenado))

# %% [markdown]
# ## ¿Dice la verdad? ¿Ordena bien?
#
# De cien filas a las que el modelo da un 30 %, deben dar positivo unas treinta.

# %%
juzgado, positivo = entrenado.evaluation, f"«{contrato.positive_name['es']}»"
etiquetas, probabilidad = entrenado.rows.labels[juzgado.places], juzgado.chances
ece, auc = juzgado.figures["ece"].value, juzgado.figures["auc"]
showing.calibration(
    f"Lo que dice el modelo se aparta de lo que pasó {number(100 * ece, 1)} puntos de media",
    {"filas no vistas": stats.calibration_table(etiquetas, probabilidad)},
    f"Parte de {positivo} que hubo",
)

# %%
ganancia, tasa = stats.gains(etiquetas, probabilidad), etiquetas.mean()
showing.deciles(
    f"En el 20 % mejor está el {percent(ganancia.captured[1])} de los {positivo} "
    f"(AUC {number(auc.value, 3)}; en otra tabla, de {number(auc.low, 3)} a "
    f"{number(auc.high, 3)})",
    ganancia,
    (f"todas las filas: {percent(tasa, 1)}", tasa),
    f"Parte de {positivo}; encima, la acumulada",
)

# %% [markdown]
# ## ¿A quién se llama?
#
# El umbral no es 0,5: está donde una llamada más cuesta lo que trae. Se eligió en otras filas.

# %%
importe, elegido = contrato.parameter(contrato.training.amount), entrenado.threshold.value
importes = entrenado.rows.values[importe.name][juzgado.places]
umbrales = np.array([elegido, *np.linspace(0, 0.6, 121)])
elegidas = [probabilidad >= umbral for umbral in umbrales]
neto = [thresholds.net_euros(e, etiquetas, importes, COSTE, PARTE) for e in elegidas]
showing.curve(
    f"Llamando desde {number(elegido, 3)} quedan {number(neto[0], 0)}; "
    f"llamando a todos, {number(neto[1], 0)}",
    umbrales[1:],
    np.array(neto[1:]),
    (f"umbral elegido: {number(elegido, 3)}", elegido),
    "Umbral",
    f"Queda, en la moneda de «{importe.label['es']}»",
)

# %% [markdown]
# ## ¿Cuánto falta hasta la verdad?
#
# Solo se sabe en datos generados, que traen la probabilidad de cada fila.

# %%
tabla, dibujo = open_table(str(DATOS)), "Esta tabla no trae la probabilidad verdadera."
if VERDAD in tabla.heading and entrenado.data.used == entrenado.data.rows:
    columna = pd.concat(map(pd.DataFrame, tabla.blocks([VERDAD])))[VERDAD]
    verdad = columna.to_numpy(np.float64)[juzgado.places]
    techo = stats.auc(etiquetas, verdad)
    dibujo = showing.cloud(
        f"La verdad ordena estas filas con AUC {number(techo, 3)}; el modelo, con "
        f"{number(auc.value, 3)}",
        verdad,
        probabilidad,
        "Probabilidad verdadera",
        "Probabilidad que da el modelo",
    )
display(dibujo)

# %% [markdown]
# ## Guardar el candidato
#
# Modelo, ficha e informe, como los deja `propensia train`.

# %%
delivery.write(entrenado, delivery.Written.beside(SALIDA))
print(f"Compruébelo con «propensia check {SALIDA}».")

# %% [markdown]
# ## Qué concluir
#
# - Se publica si mejora lo que hay por más que los intervalos, no solo por sus puntos.
# - Si la calibración se aparta de la línea, las ganancias esperadas no son de fiar.
# - Si cambia el coste de una llamada cambia el umbral, no el modelo (`propensia threshold`).
