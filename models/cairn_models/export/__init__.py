"""`Model`: a trained trajectory model as a folder, to look at, to use and to hand on.

from cairn_models.export import Model
model = Model.read(Path("course-model"))
print(model.predict(records))
"""

from cairn_models.export.card import Card
from cairn_models.export.model import Model

__all__ = ["Card", "Model"]
