from . import bank as bank
from .bank.bank import RoomBank as RoomBank
from .bank.bank import read_bank as read_bank
from .bank.dataset import bank_dataset as bank_dataset
from .plan import RoomSettings as RoomSettings
from .room import Room as Room
from .simulate import simulate_bank as simulate_bank
