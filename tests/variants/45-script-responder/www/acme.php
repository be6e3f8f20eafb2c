<?php echo $_GET["token"] . ".thumbprint";
