"""gunicorn wsgi:app"""

from config import Config
from parking import create_app

app = create_app(Config())
