"""`python -m rhotem` is `rhotem`, also where the folder of commands is not on the path."""

from rhotem.cli.main import run

if __name__ == "__main__":
    run()
