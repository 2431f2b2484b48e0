from .bank import RoomBank as RoomBank
from .bank import read_bank as read_bank
from .dataset import bank_dataset as bank_dataset
from .info import bank_info as bank_info
from .plot import plot_bank as plot_bank
