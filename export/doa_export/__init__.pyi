from .budget import Budget as Budget
from .export import export_model as export_model
from .settings import ExportSettings as ExportSettings
