# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. ¿Sigue valiendo el modelo?
#
# Un mes posterior contra lo que la ficha del modelo recuerda de su entrenamiento: primero sin
# resultados (¿es la misma población?), después con ellos (¿acierta todavía?).

# %%
from datetime import date
from pathlib import Path

import joblib
import numpy as np
from IPython.display import Markdown

from propensia import files, stats
from propensia.contract import load
from propensia.spanish import number, percent
from propensia.training import drift, exploring, reading, scoring, showing

# %% tags=["parameters"]
CONTRATO = "cobranza"  # un contrato incluido, o la ruta de un TOML
CANDIDATO = Path("datos") / "candidato.pkl"  # lo deja aquí el cuaderno 3; solo uno propio
MES = Path("datos") / "cobros_mes_siguiente.csv"  # lo deja aquí el cuaderno 1
MOVER = 0.0  # más de 0: ensaya un cambio, con la mitad de las filas del mes tomadas con otro peso

# %%
contrato = load(CONTRATO)
positivo, dato = contrato.positive_name["es"], {p.name: p.label["es"] for p in contrato.parameters}
ficha, modelo = files.read_json(CANDIDATO.with_suffix(".json")), joblib.load(CANDIDATO)
mes, _, avisos = reading.read(str(MES), contrato, today=date.today())
if MOVER > 0:
    mes = drift.moved(mes, contrato.training.amount, MOVER, seed=1)
# Una red aprende de las columnas del contrato; los demás modelos, de los datos como vienen.
vista = "raw" if hasattr(modelo, "predict_proba") else "columns"
probabilidad = scoring.chances(modelo, contrato, vista, mes)
Markdown(f"**{len(mes)} filas.**\n\n" + "\n".join(f"- {aviso.text}." for aviso in avisos))

# %% [markdown]
# ## Sin resultados: ¿es la misma población?
#
# El índice de estabilidad (PSI) compara repartos. Con pocas filas nunca es 0: la marca dice hasta
# dónde llega por azar.

# %%
recuerdo = ficha["referencia"]
movidos = drift.parameters(recuerdo, contrato, mes)
cuantos = sum(uno.index > max(uno.by_chance, drift.CALM) for uno in movidos)
showing.bars(
    f"{cuantos} de {len(movidos)} datos pasan de {number(drift.CALM)}; el que más ha cambiado "
    f"es «{dato[movidos[0].name]}»",
    [dato[uno.name] for uno in movidos[:10]],
    [uno.index for uno in movidos[:10]],
    "Índice de estabilidad (PSI)",
    ticks=("hasta aquí, azar", [uno.by_chance for uno in movidos[:10]]),
    lines=[("atención", drift.CALM), ("cambio", drift.CHANGED)],
)

# %%
puntos = drift.scores(recuerdo, probabilidad, ficha["entrenamiento"]["juzgadas"])
entonces = np.array(recuerdo["puntuacion"]["histograma"])
bordes = np.linspace(0, 1, len(entonces) + 1)
showing.steps(
    f"Probabilidades: PSI {number(puntos.index, 2)}, y por azar no pasaría de "
    f"{number(puntos.by_chance, 2)}",
    {"este mes": np.histogram(probabilidad, bordes)[0] / len(mes), "al entrenar": entonces},
    bordes,
    "Probabilidad que da el modelo",
)

# %% [markdown]
# ## Con resultados: ¿se cumple lo estimado?

# %%
hubo = exploring.rates(["todas las filas"], [mes.labels.sum()], [len(mes)])
estimada, real = probabilidad.mean(), hubo.shares[0]
tasas, dichas = {"Este mes": hubo}, {"Este mes": [estimada]}
for nombre in contrato.training.segments[:1]:
    tasas[dato[nombre]] = exploring.by_group(contrato, mes, nombre)
    dichas[dato[nombre]] = exploring.by_group(contrato, mes, nombre, probabilidad).shares
showing.forest(
    f"Se esperaba el {percent(estimada, 1)} de «{positivo}» y hubo el {percent(real, 1)}",
    tasas,
    f"Parte de «{positivo}», con su intervalo del 95 %",
    base=(f"al entrenar: {percent(ficha['tasa_real'], 1)}", ficha["tasa_real"]),
    rings=("lo que estimó el modelo", dichas),
)

# %%
partes = [[parte[k] for parte in ficha["calibracion"]] for k in ("probabilidad", "tasa", "filas")]
error, antes = stats.calibration_error(mes.labels, probabilidad)[0], ficha["metricas"]
showing.calibration(
    f"Lo dicho se aparta de lo que pasó {number(100 * error, 1)} puntos; al entrenar, "
    f"{number(100 * antes['ece']['valor'], 1)}",
    {
        "al entrenar": stats.Calibration(*map(np.array, partes)),
        "este mes": stats.calibration_table(mes.labels, probabilidad),
    },
    f"Parte de «{positivo}» que hubo",
)

# %% [markdown]
# ## Qué concluir
#
# Nivel y orden fallan por separado. Si solo falla el nivel, basta entrenar con los últimos meses;
# si cae el AUC, antes hay que saber qué ha cambiado en los datos.

# %%
auc, de = stats.auc(mes.labels, probabilidad), antes["auc"]
señales = [
    ("población: PSI de las probabilidades", puntos.index, max(drift.CALM, puntos.by_chance)),
    ("nivel: estimado contra habido", abs(estimada - real), (hubo.high[0] - hubo.low[0]) / 2),
    ("orden: AUC perdido", de["valor"] - auc, de["valor"] - de["desde"]),
]
suenan = [nombre for nombre, valor, limite in señales if valor > limite]
filas = [f"| {nombre} | {valor:.3f} | {limite:.3f} |" for nombre, valor, limite in señales]
tabla = "\n".join(["| señal | este mes | límite |", "|---|---|---|", *filas]).replace(".", ",")
Markdown(f"{tabla}\n\n**{'Reentrenar: ' + '; '.join(suenan) if suenan else 'Seguir igual'}.**")
