-- What sqlalchemy-migrate left at its versions 1 to 3 becomes the first Alembic revision.

--@ when column actions.mode
ALTER TABLE actions CHANGE mode actionmode VARCHAR(255);
