from .bank.bank import RoomBank as RoomBank
from .bank.bank import read_bank as read_bank
from .plan import RoomSettings as RoomSettings
from .room import Room as Room
from .room import simulate_room as simulate_room
from .simulate import simulate_bank as simulate_bank
from .sofa_rooms import RoomResponses as RoomResponses
from .sofa_rooms import read_room_responses as read_room_responses
